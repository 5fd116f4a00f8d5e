//! nucleus-sys
