//! nucleus-wire
