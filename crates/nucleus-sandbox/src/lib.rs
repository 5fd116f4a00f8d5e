//! nucleus-sandbox

pub mod workspace;
