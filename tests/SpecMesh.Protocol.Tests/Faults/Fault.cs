namespace SpecMesh.Protocol.Tests.Faults;

/// <summary>Everything that goes wrong in a schedule.</summary>
internal enum Fault
{
    /// <summary>A host's agent dies; its guests and its journal stay.</summary>
    AgentCrash,

    /// <summary>An agent is stopped in order, and started again.</summary>
    AgentStop,

    /// <summary>A host is lost with its guests, its shells and its journal. It comes back empty, or never.</summary>
    HostLoss,

    /// <summary>A service's process dies at some moment.</summary>
    ServiceCrash,

    /// <summary>A service dies just before its commit.</summary>
    CrashBeforeCommit,

    /// <summary>A service dies after its commit.</summary>
    CrashAfterCommit,

    /// <summary>A dispatcher dies before a message has reached the broker.</summary>
    CrashBeforePublish,

    /// <summary>A dispatcher dies after a message has reached the broker.</summary>
    CrashAfterPublish,

    /// <summary>A service dies between the end of a handler and the acknowledgement of its message.</summary>
    CrashBeforeAck,

    /// <summary>Two machines, or one and all others, cannot reach each other.</summary>
    Partition,

    /// <summary>The same, in one direction only.</summary>
    OneWayPartition,

    /// <summary>A message does not reach the broker, and its sender is told so.</summary>
    MessageLost,

    /// <summary>A message reaches the broker, and the sender is not told so.</summary>
    ConfirmLost,

    /// <summary>The broker delivers a message twice.</summary>
    MessageRepeated,

    /// <summary>Something takes long enough on its way that anything may overtake it.</summary>
    MessageDelayed,

    /// <summary>The broker does not hear that a message was handled.</summary>
    AckLost,

    /// <summary>A direct call does not arrive.</summary>
    CallLost,

    /// <summary>A direct call is carried out, and its answer does not arrive.</summary>
    AnswerLost,

    /// <summary>A commit happens, and the caller is told that nobody knows.</summary>
    CommitAnswerLost,

    /// <summary>A commit does not happen, and the caller is told that nobody knows.</summary>
    CommitLost,

    /// <summary>The store is away for everybody for some time.</summary>
    StoreAway,

    /// <summary>One access to the store fails.</summary>
    StoreError,

    /// <summary>One access to the store takes long.</summary>
    StoreSlow,

    /// <summary>A write to an agent's journal takes long.</summary>
    JournalSlow,

    /// <summary>A write to an agent's journal fails, and may have reached the disk.</summary>
    JournalFailure,

    /// <summary>A machine's wall clock jumps ahead.</summary>
    ClockForward,

    /// <summary>A machine's wall clock jumps back.</summary>
    ClockBackward,

    /// <summary>A guest ends on its own.</summary>
    GuestDeath,

    /// <summary>A shell cannot be built.</summary>
    ShellFailure,

    /// <summary>A guest cannot be suspended, resumed, started or destroyed at the first attempt.</summary>
    HypervisorFailure,

    /// <summary>A harvest of the dirty log fails and may have lost pages.</summary>
    HarvestFailure,

    /// <summary>A migration stream breaks.</summary>
    StreamBreak,

    /// <summary>A round takes as long as a slow or hung target makes it take.</summary>
    RoundSlow,
}
