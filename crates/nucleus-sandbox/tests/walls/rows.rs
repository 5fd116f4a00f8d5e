//! The scenes.

use super::harness::Test;
use super::{Outcome, Stage, agent, attack, host, life};

const fn test(
    name: &'static str,
    scene: fn(&Stage) -> Outcome,
    layers: &'static [&'static str],
) -> Test {
    Test { name, scene, layers }
}

pub(crate) const TESTS: &[Test] = &[
    test("ordinary_commands_work", host::ordinary, &[]),
    test("row_06_attributes_outside", attack::attributes, &["mounts"]),
    test("row_06_attributes_of_the_root", attack::root_attributes, &["ro-root"]),
    test("row_07_magic_links", attack::magic_links, &["mounts"]),
    test("row_16_inherited_descriptors", attack::descriptors, &["fds", "landlock"]),
    test("row_25_environment", attack::environment, &["env"]),
    test("row_31_network_from_a_child", attack::network, &["netns"]),
    test("row_32_terminal", attack::terminal, &["seccomp", "session"]),
    test("row_33_survivors", life::survivors, &["pidns", "cgroup"]),
    test("row_34_fork_bomb", attack::fork_bomb, &["rlimits", "cgroup"]),
    test("row_34_memory_bomb", attack::memory_bomb, &["cgroup"]),
    test("row_34_file_size", attack::file_size, &["rlimits"]),
    test("row_34_descriptors", attack::open_files, &["rlimits"]),
    test("row_35_host_socket", attack::host_socket, &["mounts"]),
    test("row_36_abstract_socket", attack::abstract_socket, &["netns", "landlock"]),
    test("row_37_datagram_socket", attack::datagram_socket, &["mounts"]),
    test("row_40_mptcp", attack::mptcp, &["seccomp", "netns"]),
    test("row_41_io_uring", attack::io_uring, &["seccomp"]),
    test("row_44_x32", attack::x32, &["seccomp"]),
    test("row_44_i386", attack::i386, &["seccomp"]),
    test("row_45_environment_of_a_sibling", attack::sibling_environment, &["pidns", "landlock"]),
    test("row_45_trace_a_sibling", attack::sibling_trace, &["pidns", "landlock", "seccomp"]),
    test("row_47_shared_memory_of_the_host", attack::shared_memory, &["ipcns"]),
    test("row_34_full_disk", host::full_disk, &[]),
    test("masked_proc_is_explained", host::masked_proc, &[]),
    test("garbage_ends_the_launcher", life::garbage, &[]),
    test("row_48_kernel_surface", attack::kernel_surface, &["seccomp"]),
    test("row_55_signal_a_sibling", attack::sibling_signal, &["pidns", "landlock"]),
    test("row_29_memory_file", attack::memory_file, &["memfd"]),
    test("row_78_environment_of_init", attack::init_environment, &["env", "dumpable"]),
    test("withheld_file_is_masked", host::masked, &["masks"]),
    test("closed_directory_is_masked", host::closed_directory, &["masks"]),
    test("late_secret_is_masked_in_the_next_pod", host::late_secret, &["masks"]),
    test("workspace_changes_stay_in_the_session", host::overlay, &["overlay"]),
    test("kill_ends_the_whole_tree", life::kill_tree, &["kill"]),
    test("nothing_survives_the_launcher", life::launcher_death, &[]),
    test("nothing_survives_the_host", life::host_death, &[]),
    test("agent_pod_has_its_door_and_nothing_else", agent::agent_pod, &[]),
    test("cargo_test_works_offline", host::cargo_test, &[]),
    test("copy_where_no_overlay_is_possible", host::copy_mode, &[]),
    test("bad_workspaces_are_refused", host::bad_workspaces, &[]),
    test("missing_layers_refuse_the_session", host::requirements, &[]),
    test("many_pods_at_once", life::many_pods, &[]),
    test("self_test_refuses_a_broken_wall", host::self_test, &[]),
];
