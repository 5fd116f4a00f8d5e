//! nucleus-cli
fn main() {}
