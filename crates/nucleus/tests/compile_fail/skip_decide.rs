// An identified call cannot be reserved for: nobody has let it through.
fn skip(identified: nucleus::room::Identified, executor: &nucleus::Executor) {
    let _ = identified.reserve(executor);
}

fn main() {
    let _ = skip;
}
