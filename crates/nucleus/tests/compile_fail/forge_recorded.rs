// Only the record room makes a recorded call.
fn forge(call: nucleus_wire::tool::ToolCall) -> nucleus::room::Recorded {
    nucleus::room::Recorded { call, permit: loop {}, open: loop {}, pinned: loop {} }
}

fn main() {
    let _ = forge;
}
