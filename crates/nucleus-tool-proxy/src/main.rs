//! nucleus-tool-proxy
fn main() {}
