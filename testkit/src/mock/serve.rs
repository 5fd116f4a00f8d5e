//! A stand-in as a program.

use std::convert::Infallible;
use std::path::PathBuf;

use super::{Api, Mock, Options, Script};

/// Serves `--script FILE --port-file FILE [--record FILE] [--key KEY]` until the process is killed.
///
/// # Errors
/// Wrong options, an unreadable script, no port.
pub fn serve(
    api: Api,
    mut arguments: impl Iterator<Item = String>,
) -> Result<Infallible, Box<dyn std::error::Error>> {
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
    let mock = Mock::start(Options { api, script, record, key })?;
    mock.write_port(&port_file)?;
    loop {
        std::thread::park();
    }
}
