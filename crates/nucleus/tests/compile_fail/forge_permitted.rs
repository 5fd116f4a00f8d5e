// Only the decision makes a permitted call.
fn forge(identified: nucleus::room::Identified) -> nucleus::room::Permitted {
    nucleus::room::Permitted { identified, clearance: loop {} }
}

fn main() {
    let _ = forge;
}
