using SpecMesh.Protocol.Tests.Faults;
using SpecMesh.Protocol.Tests.Running;

namespace SpecMesh.Protocol.Tests.Mutations;

/// <summary>A rule of the protocol or of the data path that is broken on purpose, and the rules of which the checks must see one violated.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Mutator">Breaks it.</param>
/// <param name="Rules">What must be seen.</param>
internal sealed record Mutation(string Name, Mutator Mutator, params string[] Rules)
{
    /// <summary>A stream that breaks behind a complete image lets the guest run on, and the loss of its host then makes somebody look for the image.</summary>
    private static readonly Dictionary<Fault, double> ImageOfThePast = new() { [Fault.StreamBreak] = 0.03, [Fault.HostLoss] = 0.002 };

    /// <summary>Answers come late, and so do the targets', so that one source refuses again and again.</summary>
    private static readonly Dictionary<Fault, double> LateAnswers = new() { [Fault.AnswerLost] = 0.5, [Fault.CallLost] = 0.5, [Fault.RoundSlow] = 0.1 };

    /// <summary>The only faults that happen, and how often: those that the mutation needs to do its worst harm. Empty: as each seed has it.</summary>
    public IReadOnlyDictionary<Fault, double> Focus { get; init; } = new Dictionary<Fault, double>();

    /// <summary>The five breaking changes of DESIGN section 7, those of the image that is kept, and the one of the deadlines that are taken back.</summary>
    public static IReadOnlyList<Mutation> OfTheProtocol { get; } =
    [
        new("source-resumes-on-timeout", new SourceResumesOnTimeout(), "R1", "R3", "R5"),
        new("source-votes-twice", new SourceVotesTwice(), "R1"),
        new("source-destroys-early", new SourceDestroysEarly(), "R4"),
        new("target-runs-on-vote", new TargetRunsOnItsVote(), "R2"),
        new("append-without-expected-version", new AppendsWithoutExpectedVersion(), "R1", "R2", "R3", "R5"),
        new("resumes-from-finishing-without-refusal", new ResumesFromFinishingWithoutRefusal(), "R3") { Focus = ImageOfThePast },
        new("source-believes-any-refusal-answer", new SourceBelievesAnyRefusalAnswer(), "R1", "R3", "R5") { Focus = LateAnswers },
        new("image-destroyed-on-abort", new ImageDestroyedOnAbort(), "R6"),
        new("recovers-from-void-image", new RecoversFromVoidImage(), "R3") { Focus = ImageOfThePast },
        new("deadlines-taken-back-at-completion", new DeadlinesTakenBackAtCompletion(), "R7", "R8"),
    ];

    /// <summary>The ten mutations of the data path, by their numbers.</summary>
    public static IReadOnlyList<Mutation> OfTheDataPath { get; } =
    [
        new("1-or-into-own-replica-only", new DataPathMutator((guest, time) => new OrIntoOwnReplicaOnly(guest, time)), "I1", "I4"),
        new("2-or-one-by-one", new DataPathMutator((guest, time) => new OrOneByOne(guest, time)), "I1", "I4"),
        new("3-read-then-clear", new DataPathMutator((guest, time) => new ReadThenClear(guest, time)), "I1", "I4"),
        new("4-peek-then-clean", new DataPathMutator((guest, time) => new PeekThenClean(guest, time)), "I1", "I4"),
        new("5-final-harvest-to-candidate-only", new DataPathMutator((guest, time) => new FinalHarvestToCandidateOnly(guest, time)), "I1", "I4"),
        new("6-no-final-harvest", new DataPathMutator((guest, time) => new NoFinalHarvest(guest, time)), "I1", "I4"),
        new("7-complete-without-pause", new CompleteWithoutPause(), "I4"),
        new("8-loser-stops-the-log", new DataPathMutator((guest, time) => new LoserStopsTheLog(guest, time)), "I1", "I4", "I7"),
        new("9-joiner-restarts-the-log", new DataPathMutator((guest, time) => new JoinerRestartsTheLog(guest, time)), "I1", "I4"),
        new("10-final-mark-survives-resume", new DataPathMutator((guest, time) => new FinalMarkSurvivesResume(guest, time)), "I1", "I4"),
    ];

    /// <summary>The schedule of a seed, with this mutation.</summary>
    public Plan PlanOf(ulong seed) => new(seed) { Mutator = Mutator, Focus = Focus };

    /// <summary>By name.</summary>
    public static Mutation? Find(string name) => OfTheProtocol.Concat(OfTheDataPath).FirstOrDefault(mutation => mutation.Name == name);
}
