// A recorded call cannot be settled as if its effect had taken place.
fn skip(recorded: nucleus::room::Recorded, executor: &nucleus::Executor) {
    let _ = recorded.settle(executor);
}

fn main() {
    let _ = skip;
}
