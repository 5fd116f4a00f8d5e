// A permitted call cannot be recorded before its worst case is held.
fn skip(permitted: nucleus::room::Permitted, executor: &nucleus::Executor) {
    let _ = permitted.record(executor);
}

fn main() {
    let _ = skip;
}
