//! nucleus-audit
fn main() {}
