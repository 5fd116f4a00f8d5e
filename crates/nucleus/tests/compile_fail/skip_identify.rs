// A parsed call cannot be decided: nobody knows whose it is.
fn skip(parsed: nucleus::room::Parsed, executor: &nucleus::Executor) {
    let _ = parsed.decide(executor);
}

fn main() {
    let _ = skip;
}
