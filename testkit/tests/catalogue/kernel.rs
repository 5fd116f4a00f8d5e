//! Rows 31, 35, 36, 41, 44, 45: what the kernel would do for a pod if nothing stood in between.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use crate::attempt::{Attempt, row, run_attack};

#[test]
fn row_31_a_child_of_an_allowed_command_reaches_no_network() {
    row("row_31", &["netns"], &[], |host| {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        server.set_nonblocking(true).unwrap();
        let port = server.local_addr().unwrap().port().to_string();
        // The command the policy sees is `sh`; what it starts is the wall's business.
        let outcome = host.run(&["sh", "-c", &format!("env ./attack tcp {port}")]);
        Attempt::when(server.accept().is_ok(), outcome)
    });
}

#[test]
fn row_35_a_socket_file_of_the_host_is_not_there() {
    row("row_35", &["mounts"], &[], |host| {
        let path = host.place().join("host.sock");
        let server = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        server.set_nonblocking(true).unwrap();
        let attempt = run_attack(host, &["unix", path.to_str().unwrap()]);
        assert_eq!(server.accept().is_ok(), attempt == Attempt::Worked, "{attempt:?}");
        attempt
    });
}

#[test]
fn row_36_an_abstract_socket_of_the_host_is_out_of_reach() {
    row("row_36", &["netns", "landlock"], &[], |host| {
        let name = format!("nucleus-test-{}", host.place().display());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let server = UnixListener::bind_addr(&address).unwrap();
        server.set_nonblocking(true).unwrap();
        let attempt = run_attack(host, &["abstract", &name]);
        match server.accept() {
            Ok(_) => assert_eq!(attempt, Attempt::Worked),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        attempt
    });
}

#[test]
fn row_41_io_uring_is_not_there() {
    row("row_41", &["seccomp"], &[], |host| run_attack(host, &["uring"]));
}

#[test]
fn row_44_another_call_table_kills() {
    row("row_44", &["seccomp"], &[], |host| run_attack(host, &["x32"]));
}

#[test]
fn row_45_a_sibling_cannot_be_read() {
    row("row_45", &["seccomp"], &[], |host| run_attack(host, &["sibling"]));
}

#[test]
fn row_45_processes_of_the_host_cannot_be_seen() {
    row("row_45_host", &["pidns"], &["mounts"], |host| {
        let own = std::process::id();
        let outcome = host.run(&[
            "sh",
            "-c",
            &format!("test -d /proc/{own} && grep -z catalogue /proc/{own}/cmdline"),
        ]);
        Attempt::when(outcome.code == Some(0) && outcome.stdout.contains("catalogue"), outcome)
    });
}
