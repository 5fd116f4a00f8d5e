//! The stand-in for the model provider as a program:
//! `mock-anthropic --script FILE --port-file FILE [--record FILE] [--key KEY]`. It serves until it is killed.

use std::path::PathBuf;
use std::process::ExitCode;

use testkit::anthropic::{Mock, Options, Script};

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("mock-anthropic: {error}");
            ExitCode::from(64)
        }
    }
}

fn run(
    mut arguments: impl Iterator<Item = String>,
) -> Result<std::convert::Infallible, Box<dyn std::error::Error>> {
    let (mut script, mut port_file, mut record, mut key) = (None, None, None, None);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--script" => script = Some(Script::parse(&std::fs::read(value)?)?),
            "--port-file" => port_file = Some(PathBuf::from(value)),
            "--record" => {
                record = Some(std::fs::OpenOptions::new().create(true).append(true).open(value)?);
            }
            "--key" => key = Some(value),
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    let script = script.ok_or("--script is missing")?;
    let port_file = port_file.ok_or("--port-file is missing")?;
    let mock = Mock::start(Options { script, record, key })?;
    mock.write_port(&port_file)?;
    loop {
        std::thread::park();
    }
}
