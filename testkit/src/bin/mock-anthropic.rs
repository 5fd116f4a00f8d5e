//! The stand-in for the Anthropic Messages API as a program:
//! `mock-anthropic --script FILE --port-file FILE [--record FILE] [--key KEY]`. It serves until it is killed.

use std::process::ExitCode;

use testkit::mock::{Api, serve};

fn main() -> ExitCode {
    match serve(Api::Anthropic, std::env::args().skip(1)) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("mock-anthropic: {error}");
            ExitCode::from(64)
        }
    }
}
