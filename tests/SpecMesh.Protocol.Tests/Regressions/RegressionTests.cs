using SpecMesh.Protocol.Tests.Running;

namespace SpecMesh.Protocol.Tests.Regressions;

/// <summary>
/// Failures that schedules have found in production code, each with its cause. A seed shows the failure only with the simulation as it was then, so what keeps each from coming back
/// is the test that is named beside it; the seeds stay as schedules that once were hard.
/// </summary>
public sealed class RegressionTests
{
    /// <summary>Seed, rule, cause, and where the scripted test is.</summary>
    public static TheoryData<ulong, string, string, string> Found => new()
    {
        {
            112, "R1", "A start command that the broker delivered again to a restarted agent built the winner's shell once more; its commit was found made, and the machine ran twice.",
            "RestartTests.a_start_command_that_comes_again_after_a_restart_does_not_build_the_winner_once_more"
        },
        {
            3384, "R7", "The winner's guest ended while no agent ran on its host, or its first word was lost with the agent: nobody was left to say so, and the operation never settled.",
            "CleanupTests.a_winner_that_nobody_is_left_to_speak_for_is_waited_for_only_as_long_as_the_machine_is_its_own"
        },
        {
            6564, "R8", "A start command that came again after its replica had won and its guest had ended left a shell that waited for pages for ever, and kept its agent from giving the machine up.",
            "TargetProtocolTests.a_shell_that_is_built_again_after_its_replica_has_won_and_ended_is_destroyed"
        },
        {
            618, "R8", "A guest that ended while its agent recovered left its vote or its image in the journal.",
            "this seed: no later step may leave a journal entry"
        },
        {
            88, "R8", "A connect command that was delayed past its operation's end made a source that never asked whether the operation was over, once the first read had moved behind the open stream.",
            "SourceProtocolTests.a_source_whose_streams_never_opened_finds_out_by_itself_that_its_operation_is_over"
        },
        {
            278, "R7", "The manager that retries on the same server planned further replicas on a host that was confirmed dead, and waited for their clean-up for ever.",
            "FencingTests.a_dead_host_gets_no_further_replica_and_none_is_waited_for_there"
        },
        {
            2012, "R8", "A recovery that was given up left its operation open in placement's view of the machine, so that the memory of the dead host's machine was never free again.",
            "FenceHostTests and AllocationTests"
        },
        {
            8027, "R7", "A target whose shell died while its commit was unanswered waited for its image to become void, which a dead source never makes it, and its image was granted again and again.",
            "TargetProtocolTests.a_guest_that_dies_while_its_commit_is_under_way_is_given_up_whatever_became_of_the_commit"
        },
        {
            68143, "R1", "An agent that was stopped resumed a guest that stood still for one operation's vote, because another operation of the same guest, over and not yet let go of, was still there.",
            "RestartTests.an_agent_that_stops_leaves_a_guest_alone_that_stands_still_for_another_operation"
        },
        {
            56556, "R8", "The journal kept the vote of a guest that had died.",
            "this seed: no later step may leave a journal entry"
        },
        {
            201983, "R8", "A recovery that was given up left its operation open in the machine's facts, so a returned host kept memory for nobody.",
            "FenceHostTests"
        },
        {
            1026166, "R6", "Not a failure of the protocol: a refusal that a source sent before its death and that arrives before the fence makes its image void, and nobody can know better.",
            "Truth.Committed"
        },
        {
            3202492, "R3", "A host that had lost the winner came back empty, built its shell again by a start command that came late, and started it when its agent had crashed once more: an empty machine.",
            "RecoveryTests.an_empty_shell_of_a_replica_that_has_won_is_not_the_machine"
        },
        {
            3280574, "R6", "A target said READY for an image that became complete while an abort destroyed its shell; the source was lost just then.",
            "this seed: READY leaves only when the state machine has taken the image"
        },
        {
            3033917, "I1", "Not a failure of the data path: a winner that ran already was compared with its source, where a round to it had not ended yet.",
            "SourceSide.CheckPages"
        },
        {
            14554, "R7", "A fenced host was put into service again before the recovery of its machine was over: nobody decided about the machine any more.",
            "FencingTests.a_recovery_that_has_begun_goes_on_to_its_end_when_the_host_is_in_service_again"
        },
    };

    [Theory]
    [MemberData(nameof(Found))]
    public void a_schedule_that_once_failed_passes(ulong seed, string rule, string cause, string scripted)
    {
        Cluster cluster = Schedule.Run(new Plan(seed));
        Assert.True(cluster.Violation is null, $"{rule} once ({cause} See {scripted}), and now: {cluster.Violation?.Message}");
    }
}
