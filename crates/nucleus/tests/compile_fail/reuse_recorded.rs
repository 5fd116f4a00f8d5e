// One intent, one effect.
fn reuse(recorded: nucleus::room::Recorded, executor: &nucleus::Executor) {
    let cancel = nucleus::Cancel::new();
    let _ = recorded.act(executor, &cancel, &nucleus::NoProgress);
    let _ = recorded.act(executor, &cancel, &nucleus::NoProgress);
}

fn main() {
    let _ = reuse;
}
