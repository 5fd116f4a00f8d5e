//! nucleus-mcp
fn main() {}
