//! The stand-in for OpenAI as a program:
//! `mock-openai --script FILE --port-file FILE [--record FILE] [--key KEY]`. It serves until it is killed.

use std::process::ExitCode;

use testkit::mock::{Api, serve};

fn main() -> ExitCode {
    match serve(Api::OpenAi, std::env::args().skip(1)) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("mock-openai: {error}");
            ExitCode::from(64)
        }
    }
}
