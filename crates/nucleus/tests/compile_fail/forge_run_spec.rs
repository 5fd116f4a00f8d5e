// A runner cannot be handed a command that nobody recorded.
fn forge(runner: &dyn nucleus::Runner) {
    let spec = nucleus::RunSpec {
        argv: vec!["git".to_owned(), "push".to_owned()],
        env: Vec::new(),
        cwd: String::new(),
        stdin: None,
    };
    let _ = runner.start(spec);
}

fn main() {
    let _ = forge;
}
