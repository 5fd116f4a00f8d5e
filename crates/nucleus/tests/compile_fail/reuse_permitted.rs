// A permitted call cannot be copied.
fn reuse(permitted: nucleus::room::Permitted) -> [nucleus::room::Permitted; 2] {
    [permitted.clone(), permitted]
}

fn main() {
    let _ = reuse;
}
