//! The system call filter of a pod.
//!
//! A deny list: what a pod's programs need is open-ended, what must stay out of reach is known. The walls are
//! namespaces and absence; the filter takes away kernel surface and the calls that step around other layers.
//! Filters hold one action each and are stacked; the kernel takes the strictest answer.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};

/// `MFD_NOEXEC_SEAL` of `memfd_create(2)`.
const MFD_NOEXEC_SEAL: u64 = 0x8;
/// Ioctl that types into a terminal.
const TIOCSTI: u64 = 0x5412;
/// Ioctl that drives the selection of a console.
const TIOCLINUX: u64 = 0x541c;
/// Mask that removes the flag bits of a socket type.
const SOCK_TYPE_MASK: u64 = 0xf;

/// The namespace flags of `clone(2)`.
const CLONE_NEW: [i32; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// Calls refused with `EPERM`. System V IPC is not among them: its namespace is the pod's own. Refused are: other processes, new mounts, namespaces, kernel modules, keys, clocks, raw kernel surface.
const FORBIDDEN: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mbind,
    libc::SYS_migrate_pages,
    libc::SYS_mknodat,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_name_to_handle_at,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_personality,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    libc::SYS_vmsplice,
    // Newer than the C library binding; these numbers are the same on every architecture.
    457, // statmount
    458, // listmount
    467, // open_tree_attr
    469, // file_setattr
    470, // listns
];

/// As [`FORBIDDEN`], for calls that only this architecture has.
#[cfg(target_arch = "x86_64")]
const FORBIDDEN_HERE: &[i64] =
    &[libc::SYS_ioperm, libc::SYS_iopl, libc::SYS_mknod, libc::SYS_modify_ldt, libc::SYS_uselib];
#[cfg(not(target_arch = "x86_64"))]
const FORBIDDEN_HERE: &[i64] = &[];

/// Calls the kernel seems not to have, so that programs take their older way, which can be filtered.
const ABSENT: &[i64] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
];

/// Compiled filters.
#[derive(Debug, Clone)]
pub struct Filters(Vec<BpfProgram>);

/// What differs between filters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Refuse memory files that are not sealed against execution, because the kernel was not told to.
    pub require_sealed_memory_files: bool,
}

/// Compiles the filters. Done once; entering costs one call per filter.
///
/// # Errors
/// `Unsupported` on an architecture that the compiler does not know.
pub fn compile(options: Options) -> io::Result<Filters> {
    build(options).map_err(|error| io::Error::new(io::ErrorKind::Unsupported, error))
}

impl Filters {
    /// Installs the filters for this process and its children, for good. Sets no-new-privileges.
    ///
    /// # Errors
    /// What `seccomp(2)` says.
    pub fn enter(&self) -> io::Result<()> {
        for program in &self.0 {
            seccompiler::apply_filter(program).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// True when the kernel has seccomp filters.
#[must_use]
pub fn available() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("Seccomp:")))
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn build(options: Options) -> Result<Filters, seccompiler::BackendError> {
    let mut programs = vec![
        compile_one(forbidden()?, libc::EPERM)?,
        compile_one(absent(), libc::ENOSYS)?,
        compile_one(families()?, libc::EAFNOSUPPORT)?,
        compile_one(protocols()?, libc::EPROTONOSUPPORT)?,
    ];
    if options.require_sealed_memory_files {
        let unsealed = masked(1, MFD_NOEXEC_SEAL, 0)?;
        let rules =
            Rules::from([(libc::SYS_memfd_create, vec![SeccompRule::new(vec![unsealed])?])]);
        programs.push(compile_one(rules, libc::EACCES)?);
    }
    if let Some(program) = foreign_numbers() {
        programs.push(program);
    }
    Ok(Filters(programs))
}

fn compile_one(rules: Rules, errno: i32) -> Result<BpfProgram, seccompiler::BackendError> {
    let errno = u32::try_from(errno).unwrap_or(1);
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno), architecture)?
        .try_into()
}

fn forbidden() -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules =
        FORBIDDEN.iter().chain(FORBIDDEN_HERE).map(|call| (*call, Vec::new())).collect();
    let mut namespaces = Vec::new();
    for flag in CLONE_NEW {
        let bit = u64::try_from(flag).unwrap_or_default();
        namespaces.push(SeccompRule::new(vec![masked(0, bit, bit)?])?);
    }
    rules.insert(libc::SYS_clone, namespaces);
    let mut terminals = Vec::new();
    for request in [TIOCSTI, TIOCLINUX] {
        // The kernel looks at the low half only, so must we.
        terminals.push(SeccompRule::new(vec![equal(1, request)?])?);
    }
    rules.insert(libc::SYS_ioctl, terminals);
    Ok(rules)
}

fn absent() -> Rules {
    ABSENT.iter().map(|call| (*call, Vec::new())).collect()
}

/// Sockets of the pod's own namespaces only: local, internet, and the one that lists its network devices.
fn families() -> Result<Rules, seccompiler::BackendError> {
    let mut other = Vec::new();
    for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK] {
        other.push(different(0, family)?);
    }
    let rule = vec![SeccompRule::new(other)?];
    Ok(Rules::from([(libc::SYS_socket, rule.clone()), (libc::SYS_socketpair, rule)]))
}

/// Internet sockets speak TCP or UDP, nothing else (no MPTCP, SCTP, UDP-Lite, ICMP, raw). Netlink sockets only read the
/// routing tables of the pod's own network namespace: without them `getifaddrs` fails, and development servers of
/// Node and Go with it. Changing anything needs a capability.
fn protocols() -> Result<Rules, seccompiler::BackendError> {
    let mut rules = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let family = u64::try_from(family).unwrap_or_default();
        let mut protocol = vec![equal(0, family)?];
        for allowed in [libc::IPPROTO_IP, libc::IPPROTO_TCP, libc::IPPROTO_UDP] {
            protocol.push(different(2, allowed)?);
        }
        rules.push(SeccompRule::new(protocol)?);
        // The type carries flags in its upper bits, and there is no masked inequality: name the kinds instead.
        rules.extend(kinds_other_than_stream_and_datagram(family)?);
    }
    let netlink = u64::try_from(libc::AF_NETLINK).unwrap_or_default();
    let other_than_routes = vec![equal(0, netlink)?, different(2, libc::NETLINK_ROUTE)?];
    rules.push(SeccompRule::new(other_than_routes)?);
    Ok(Rules::from([(libc::SYS_socket, rules)]))
}

fn kinds_other_than_stream_and_datagram(
    family: u64,
) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let stream_or_datagram = [libc::SOCK_STREAM, libc::SOCK_DGRAM];
    let mut rules = Vec::new();
    for kind in 0..=SOCK_TYPE_MASK {
        if stream_or_datagram.iter().any(|allowed| u64::try_from(*allowed) == Ok(kind)) {
            continue;
        }
        let conditions = vec![equal(0, family)?, masked(1, SOCK_TYPE_MASK, kind)?];
        rules.push(SeccompRule::new(conditions)?);
    }
    Ok(rules)
}

fn equal(argument: u8, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn different(argument: u8, value: i32) -> Result<SeccompCondition, seccompiler::BackendError> {
    let value = u64::try_from(value).unwrap_or_default();
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)
}

fn masked(
    argument: u8,
    mask: u64,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
}

/// Kills whoever uses the x32 numbers, which share an architecture value with the native ones.
#[cfg(target_arch = "x86_64")]
fn foreign_numbers() -> Option<BpfProgram> {
    const X32_BIT: u32 = 0x4000_0000;
    let load_number = code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS)?;
    let jump_ge = code(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K)?;
    let answer = code(libc::BPF_RET | libc::BPF_K)?;
    Some(vec![
        sock_filter { code: load_number, jt: 0, jf: 0, k: 0 },
        sock_filter { code: jump_ge, jt: 0, jf: 1, k: X32_BIT },
        sock_filter { code: answer, jt: 0, jf: 0, k: libc::SECCOMP_RET_KILL_PROCESS },
        sock_filter { code: answer, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW },
    ])
}

#[cfg(target_arch = "x86_64")]
fn code(bits: u32) -> Option<u16> {
    u16::try_from(bits).ok()
}

#[cfg(not(target_arch = "x86_64"))]
fn foreign_numbers() -> Option<BpfProgram> {
    None
}
