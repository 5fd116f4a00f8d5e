//! The bypass catalogue as black-box tests: each row is an attack with a canary, tried against the programs as
//! built, as root and rootless. Each has its positive control: with every layer that holds the row switched off
//! (test builds) the attack works, and with any one of these layers alone it is held again.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a fixture that cannot be set up ends its test"
)]

#[path = "catalogue/attempt.rs"]
mod attempt;
#[path = "catalogue/configuration.rs"]
mod configuration;
#[path = "catalogue/files.rs"]
mod files;
#[path = "catalogue/kernel.rs"]
mod kernel;
#[path = "catalogue/processes.rs"]
mod processes;
#[path = "catalogue/redteam.rs"]
mod redteam;
#[path = "catalogue/secrets.rs"]
mod secrets;
