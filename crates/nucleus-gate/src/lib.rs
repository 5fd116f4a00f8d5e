//! nucleus-gate
