//! The stand-in for the Gemini API as a program:
//! `mock-gemini --script FILE --port-file FILE [--record FILE] [--key KEY]`. It serves until it is killed.

use std::process::ExitCode;

use testkit::mock::{Api, serve};

fn main() -> ExitCode {
    match serve(Api::Gemini, std::env::args().skip(1)) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("mock-gemini: {error}");
            ExitCode::from(64)
        }
    }
}
