//! nucleus-sandbox
