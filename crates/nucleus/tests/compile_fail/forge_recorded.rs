// Only the record room makes a recorded call.
fn forge(call: nucleus_wire::tool::ToolCall) -> nucleus::room::Recorded {
    nucleus::room::Recorded { call, permit: None, open: () }
}

fn main() {
    let _ = forge;
}
