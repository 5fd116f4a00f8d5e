//! Long output: head and tail at once, the middle on request, and a bound on all of it.

use serde_json::json;
use testkit::script::Script;

use crate::{call, hosts, run};

#[test]
fn the_middle_of_long_output_can_be_paged() {
    for host in hosts() {
        // 100,000 lines of 10 bytes each: the 50,001st begins at byte 500,000.
        let steps = vec![
            run("seq -f '%09.0f' 100000", "job_output with job job-1 and offset 0"),
            call("job_output", json!({"job": "job-1", "offset": 500_000}), "000050001\n000050002"),
            call("job_output", json!({"job": "job-1", "offset": 0}), "000000001\n000000002"),
            call(
                "job_output",
                json!({"job": "job-1"}),
                "passed over here; offset 65536 reads them",
            ),
            call(
                "job_output",
                json!({"job": "job-1", "offset": 999_990}),
                "000100000\n[job-1: exit 0",
            ),
        ];
        host.script(&Script { steps }).expect_code(0);
    }
}

#[test]
fn output_on_disk_is_bounded() {
    for host in hosts() {
        // 48 MiB: the first 32 are on disk, the newest in memory, what lies between is said to be gone.
        let flood = "head -c 50331648 /dev/zero | tr '\\0' x; echo; echo end";
        let steps = vec![
            run(flood, "bytes dropped here"),
            call("job_output", json!({"job": "job-1", "offset": 33_554_432}), "dropped here"),
            call("job_output", json!({"job": "job-1"}), "xxxx"),
        ];
        let outcome = host.script(&Script { steps }).expect_code(0);
        let session = host.sessions().into_iter().next().unwrap();
        let large = std::fs::read_dir(&session)
            .unwrap()
            .filter_map(Result::ok)
            .filter(|entry| entry.metadata().is_ok_and(|meta| meta.len() > 1 << 20))
            .count();
        assert_eq!(large, 0, "nothing of the output stays: {outcome}");
    }
}
