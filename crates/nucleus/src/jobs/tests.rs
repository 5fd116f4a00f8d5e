use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::*;
use crate::port::{NoProgress, RunnerError};

const LONG: Duration = Duration::from_secs(600);

/// A command of the host in a process group of its own: what a pod is to the tests of the table.
struct Group {
    child: Mutex<Child>,
    group: Pid,
    out: Option<std::os::fd::OwnedFd>,
    error: Option<std::os::fd::OwnedFd>,
}

impl Running for Group {
    fn take_stdout(&mut self) -> Option<std::os::fd::OwnedFd> {
        self.out.take()
    }

    fn take_stderr(&mut self) -> Option<std::os::fd::OwnedFd> {
        self.error.take()
    }

    fn wait(&self, timeout: Duration) -> Result<Option<Exit>, RunnerError> {
        use std::os::unix::process::ExitStatusExt;
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.lock().unwrap().try_wait()? {
                let exit = status.code().map(Exit::Code);
                return Ok(exit.or(status.signal().map(Exit::Signal)));
            }
            if begun.elapsed() >= timeout {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn kill(&self) {
        let _ = kill_process_group(self.group, Signal::KILL);
    }
}

fn sh(script: &str) -> (Box<dyn Running>, Pid) {
    let mut child = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let group = Pid::from_child(&child);
    let (out, error) = (child.stdout.take().map(Into::into), child.stderr.take().map(Into::into));
    (Box::new(Group { child: Mutex::new(child), group, out, error }), group)
}

fn start(jobs: &Jobs, script: &str, timeout: Duration) -> (Arc<Job>, Pid) {
    let (running, group) = sh(script);
    (jobs.reserve().unwrap().adopt(script.to_owned(), running, timeout).unwrap(), group)
}

fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn follow(jobs: &Jobs, job: &Job) -> bool {
    jobs.follow(job, LONG, &Cancel::new(), &NoProgress)
}

fn gone(group: Pid) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        if test_kill_process_group(group).is_err() {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn output_exit_and_time_are_reported() {
    let jobs = Jobs::new(JobLimits::default(), None);
    let (job, _) = start(&jobs, "echo out; echo err >&2; exit 3", LONG);
    assert!(follow(&jobs, &job));
    let glance = job.glance();
    assert_eq!(glance.ending, Some(CommandEnding::Exited(Exit::Code(3))));
    assert_eq!(glance.bytes, 8);
    let (text, dropped) = report::ended(&job, &glance);
    assert!(text.starts_with("out\n[stderr]\nerr\n[exit 3 after 0."), "{text}");
    assert!(!dropped);
    let (job, _) = start(&jobs, "kill -11 $$", LONG);
    assert!(follow(&jobs, &job));
    assert!(report::ended(&job, &job.glance()).0.contains("killed by signal 11 (SIGSEGV)"));
}

#[test]
fn streams_are_kept_apart_and_in_order_together() {
    let jobs = Jobs::new(JobLimits::default(), None);
    let script = "for i in 1 2 3; do echo o$i; sleep 0.05; echo e$i >&2; sleep 0.05; done";
    let (job, _) = start(&jobs, script, LONG);
    assert!(follow(&jobs, &job));
    assert_eq!(job.output(), ("o1\no2\no3\n".into(), "e1\ne2\ne3\n".into(), false));
    assert_eq!(job.part(Some(0), 99).bytes, b"o1\ne1\no2\ne2\no3\ne3\n");
}

/// Row 34: a flood neither blocks the command nor grows memory.
#[test]
fn a_flood_of_output_keeps_head_and_tail() {
    let jobs = Jobs::new(JobLimits::default(), None);
    let before = resident();
    let script =
        "echo first; head -c 1000000000 /dev/zero; head -c 50000000 /dev/zero >&2; echo; echo last";
    let (job, _) = start(&jobs, script, LONG);
    assert!(follow(&jobs, &job));
    let glance = job.glance();
    assert_eq!(glance.bytes, 1_050_000_000 + 12);
    let (text, dropped) = report::ended(&job, &glance);
    assert!(dropped && text.starts_with("first\n") && text.contains("\nlast\n[stderr]\n"));
    assert!(text.contains(&format!("[{} bytes dropped here]", 1_000_000_012_u64 - 256 * 1024)));
    assert!(text.len() < 2 * 256 * 1024 + 500);
    assert!(resident() < before + 64 * 1024 * 1024, "{} → {}", before, resident());
}

/// Row 33, as far as the port goes: everything that was started is killed with it.
#[test]
fn a_timeout_kills_the_whole_tree() {
    let jobs = Jobs::new(JobLimits::default(), None);
    let (job, group) = start(&jobs, "sleep 600 & sleep 600", Duration::from_millis(200));
    assert!(!gone_now(group), "control: it runs");
    let begun = Instant::now();
    assert!(follow(&jobs, &job));
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(job.glance().ending, Some(CommandEnding::TimedOut));
    assert!(report::ended(&job, &job.glance()).0.contains("timed out after 0.2"));
    assert!(gone(group));
}

fn gone_now(group: Pid) -> bool {
    test_kill_process_group(group).is_err()
}

#[test]
fn cancelling_the_call_kills_the_tree() {
    let jobs = Jobs::new(JobLimits::default(), None);
    let (job, group) = start(&jobs, "sleep 600 & sleep 600", LONG);
    let cancel = Cancel::new();
    let other = cancel.clone();
    let canceller = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        other.cancel();
    });
    assert!(jobs.follow(&job, LONG, &cancel, &NoProgress));
    canceller.join().unwrap();
    assert_eq!(job.glance().ending, Some(CommandEnding::Cancelled));
    assert!(gone(group));
}

#[test]
fn a_job_goes_on_in_the_background_and_is_read_in_parts() {
    let jobs = Jobs::new(JobLimits::default(), None);
    let (job, group) = start(&jobs, "echo one; sleep 0.3; echo two; sleep 600", LONG);
    assert!(!jobs.follow(&job, Duration::from_millis(150), &Cancel::new(), &NoProgress));
    let found = jobs.find("job-1").unwrap();
    assert_eq!(found.part(None, 99).bytes, b"one\n");
    assert!(found.wait_output_for(None, LONG));
    let two = found.part(None, 99);
    assert_eq!((two.bytes.as_slice(), two.next), (&b"two\n"[..], 8));
    assert!(!found.wait_output_for(None, Duration::from_millis(50)), "nothing new");
    assert_eq!(found.part(Some(0), 99).bytes, b"one\ntwo\n");
    assert!(
        report::part(&found, &found.part(Some(4), 99), &found.glance())
            .starts_with("two\n[job-1: running for ")
    );
    found.stop(CommandEnding::Stopped);
    found.wait_end();
    assert_eq!(found.glance().ending, Some(CommandEnding::Stopped));
    assert!(gone(group));
    found.stop(CommandEnding::TaskEnded);
    assert_eq!(found.glance().ending, Some(CommandEnding::Stopped), "the first reason stays");
}

#[test]
fn progress_shows_time_and_the_last_line_without_control_characters() {
    struct Lines(Mutex<Vec<String>>);
    impl Progress for Lines {
        fn report(&self, message: &str) {
            self.0.lock().unwrap().push(message.to_owned());
        }
    }
    let limits = JobLimits { progress: Duration::from_millis(50), ..JobLimits::default() };
    let jobs = Jobs::new(limits, None);
    let lines = Lines(Mutex::new(Vec::new()));
    let (job, _) =
        start(&jobs, "sleep 0.2; printf 'a\\nCompiling \\033[2Jx\\n\\n'; sleep 0.4", LONG);
    assert!(jobs.follow(&job, LONG, &Cancel::new(), &lines));
    let lines = lines.0.into_inner().unwrap();
    assert!(lines.first().unwrap().ends_with("no output yet"), "{lines:?}");
    assert!(lines.last().unwrap().ends_with(": Compiling \\u{1b}[2Jx"), "{lines:?}");
}

#[test]
fn every_end_is_told_exactly_once_before_the_wait_returns() {
    let told = Arc::new(AtomicUsize::new(0));
    let jobs = Jobs::new(JobLimits::default(), None);
    let count = |job: &Arc<Job>| {
        let told = Arc::clone(&told);
        jobs.on_end(
            job.id(),
            Box::new(move |_| {
                thread::sleep(Duration::from_millis(30));
                told.fetch_add(1, Ordering::SeqCst);
            }),
        );
    };
    let (quick, _) = start(&jobs, "exit 4", LONG);
    count(&quick);
    quick.wait_end();
    assert_eq!(told.load(Ordering::SeqCst), 1);
    count(&quick);
    assert_eq!(told.load(Ordering::SeqCst), 2, "after the end: at once");
    let (slow, group) = start(&jobs, "sleep 600", LONG);
    count(&slow);
    let (sender, receiver) = mpsc::channel();
    jobs.on_end(slow.id(), Box::new(move |end| sender.send(end).unwrap()));
    jobs.kill_all();
    assert_eq!(told.load(Ordering::SeqCst), 3);
    let end = receiver.try_recv().unwrap();
    assert_eq!(end.exit, Some(Exit::Signal(9)));
    assert!(gone(group));
    assert_eq!(slow.glance().ending, Some(CommandEnding::TaskEnded));
}

#[test]
fn nothing_starts_after_the_end_and_dropping_the_table_kills() {
    let jobs = Jobs::new(JobLimits::default(), None);
    let (_, group) = start(&jobs, "sleep 600", LONG);
    drop(jobs);
    assert!(gone(group));
    let jobs = Jobs::new(JobLimits::default(), None);
    let slot = jobs.reserve().unwrap();
    jobs.kill_all();
    assert!(jobs.reserve().is_err());
    let (running, group) = sh("sleep 600");
    slot.adopt(String::new(), running, LONG).unwrap().wait_end();
    assert!(gone(group));
}

#[test]
fn whoever_is_told_may_hold_the_last_handle_of_the_table() {
    let jobs = Arc::new(Jobs::new(JobLimits::default(), None));
    let (job, _) = start(&jobs, "sleep 0.1", LONG);
    let (sender, receiver) = mpsc::channel();
    let last = Arc::clone(&jobs);
    jobs.on_end(
        job.id(),
        Box::new(move |_| {
            drop(last);
            sender.send(()).unwrap();
        }),
    );
    drop((jobs, job));
    receiver.recv_timeout(Duration::from_secs(10)).unwrap();
}

#[test]
fn the_number_of_jobs_is_bounded_and_old_ends_are_forgotten() {
    let jobs = Jobs::new(JobLimits { running_max: 2, ended_max: 2, ..JobLimits::default() }, None);
    let (first, _) = start(&jobs, "sleep 600", LONG);
    let slot = jobs.reserve().unwrap();
    assert_eq!(jobs.reserve().err().unwrap().code(), "job.limit");
    drop(slot);
    let (second, _) = start(&jobs, "sleep 600", LONG);
    assert_eq!(jobs.reserve().err().unwrap().code(), "job.limit");
    assert_eq!(jobs.lock().running(), 2);
    second.stop(CommandEnding::Stopped);
    second.wait_end();
    for _ in 0..4 {
        start(&jobs, "true", LONG).0.wait_end();
    }
    assert_eq!(jobs.find(second.id().as_str()).err().unwrap().code(), "job.unknown");
    assert!(jobs.find(first.id().as_str()).is_ok(), "what runs is kept");
    for id in ["job-0", "job-99", "job-", "job-01", "../1", "job-1 "] {
        assert!(jobs.find(id).is_err(), "{id}");
    }
}

#[test]
fn a_pipe_that_outlives_the_command_does_not_hold_its_end() {
    let jobs = Jobs::new(JobLimits::default(), None);
    let (running, group) = sh("echo x; setsid sleep 5 & exit 0");
    let begun = Instant::now();
    let job = jobs.reserve().unwrap().adopt(String::new(), running, LONG).unwrap();
    job.wait_end();
    assert!(begun.elapsed() < Duration::from_secs(4));
    assert_eq!(job.output().0, "x\n");
    let _ = kill_process_group(group, Signal::KILL);
}

#[cfg(feature = "weaken")]
#[test]
fn without_the_output_bound_a_flood_fills_memory() {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "jobs::tests::child_flood_fills_memory", "--ignored"])
        .env("NUCLEUS_WEAKEN", "output-bound")
        .status()
        .unwrap();
    assert!(status.success());
}

#[cfg(feature = "weaken")]
#[test]
#[ignore = "run by without_the_output_bound_a_flood_fills_memory"]
fn child_flood_fills_memory() {
    let jobs = Jobs::new(JobLimits::default(), None);
    let before = resident();
    let (job, _) = start(&jobs, "head -c 200000000 /dev/zero", LONG);
    assert!(follow(&jobs, &job));
    assert!(resident() > before + 150_000_000);
}
