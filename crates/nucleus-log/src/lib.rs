//! nucleus-log
