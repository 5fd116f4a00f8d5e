// A parked call is not a permitted one.
fn skip(parked: nucleus::room::Parked, executor: &nucleus::Executor) {
    let _ = parked.reserve(executor);
}

fn main() {
    let _ = skip;
}
