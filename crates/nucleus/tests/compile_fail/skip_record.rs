// A reserved call cannot act: there is no entry, so there is no effect.
fn skip(reserved: nucleus::room::Reserved, executor: &nucleus::Executor) {
    let _ = reserved.act(executor, &nucleus::Cancel::new(), &nucleus::NoProgress);
}

fn main() {
    let _ = skip;
}
