/*
 * The ownership protocol of one live migration: one source, two targets, one event stream vm-{id} with expected versions, the operation,
 * an operator who fences a dead host, and faults. README.md says what is modelled, what is not, and why the abstractions are sound.
 *
 * Every transition names the code that it stands for, as its file and member in brackets; tests/model/run fails when a name is not in the tree any more.
 * A step is one d_step: what a state machine does with one input, or what one append does to the event stream. Between two steps anything
 * else may happen, so a message that was sent is delayed for as long as any schedule likes.
 */
#ifndef CRASHES
#define CRASHES 2 /* crashes of agents, of any of the three, in all */
#endif
#ifndef LOSSES
#define LOSSES 1 /* 1: the source's host may be lost for good, at any time */
#endif
#ifndef TARGET_LOSSES
#define TARGET_LOSSES 1 /* 1: the target that a fenced machine is being recovered from may be lost as well */
#endif
#ifndef COPIES
#define COPIES 1 /* ownership calls that arrive twice, the second time as late as one likes */
#endif
#ifndef OPERATIONS
#define OPERATIONS 1 /* 2: the second replica is another operation's, which is opened once the first one is closed without a winner */
#endif

#define SOURCE 0 /* hosts: the source, and the targets by the number of their replica */
#define NOBODY 3

mtype = { running, suspended, gone };                                      /* a guest at the source */
mtype = { copying, suspending, finishing, voted, refusing, released };     /* [SourceState.SourcePhase] */
mtype = { receiving, kept, ready, committing, runs, destroyed };           /* [TargetMessages.TargetPhase] */
mtype = { none, underway, arrived };                                       /* the last pages of an image, and the record that says so */
mtype = { silent, holds, cleaned };                                        /* what the operation has heard of a replica */

/* The event stream vm-{id}: the fold [OwnershipDecider.Evolve]. [Ownership.OwnershipView] */
byte version = 1; /* one OperationOpened; a transaction counts as one, because no vote can fall between its events */
byte owner = SOURCE;
bit epoch = 0;
byte open = 1; /* the open operation, or 0 */
byte voidedVersion = 0;
byte recovery = 0; /* replica that a fenced owner's machine is being recovered from */

/* The operation [SpecOpState.SpecOpState]. */
bit racing[3] = 0;
bit raced = 0; /* a candidate was chosen */
bit opened = 0; /* the second operation, where there is one */
mtype heard[4] = silent;
byte granted[4] = 0; /* CommitReplica: the version to commit at; the operation repeats it */

/* The source's host. What its agent holds in memory goes with a crash; the guest stays. */
mtype guest = running;
mtype phase = copying;
#ifdef MUTATION_CONFIRM_BEFORE_THE_EARLIER_OPERATION_HAS_LET_GO
byte readEarly = 0;
#endif
bit up = 1;
bit lost = 0;
byte confirmed = 0; /* the operation that the source has read to be open */
byte candidate = 0;
byte ownershipVersion = 0;
byte refusal = 0; /* RefuseTransfer under way: its expected version, plus 1 */
byte refusalBefore = 0;

/* The targets' hosts, by replica. The shell, its image and the journal outlive the agent. */
mtype shell[4] = receiving;
bit targetUp[4] = 1;
byte imageVersion[4] = 0;
byte votedVersion[4] = 0;
byte transfer[4] = 0; /* TransferOwnership under way: its expected version, plus 1 */
byte transferBefore[4] = 0; /* the call that was answered last: a copy of it may come */
bit report[4] = 0;    /* ReplicaReady, in the agent's memory or under way */

/* The migration streams. */
bit broken[4] = 0;
mtype lastPages[4] = none;
byte vote[4] = 0; /* VOTE under way: its version, plus 1 */

/* Faults that are left. */
byte crashes = CRASHES;
byte losses = LOSSES;
byte targetLosses = TARGET_LOSSES;
byte copies = COPIES;

/* What nobody in the system knows: which memory is where. */
byte memory = 0;   /* grows whenever the guest goes on after it stood still */
byte refusals = 0; /* refusals of its own that the source has had appended */
byte image[4] = 0;
byte takenAfter[4] = 0; /* refusals when the image was taken */
bit readyAtLoss = 0;    /* the source's host was lost when a target held a complete image that the source had not taken back */

#define isVoid(i) (epoch != 0 || voidedVersion > imageVersion[i]) /* [OwnershipDecider.IsVoid] */
#define hasImage(i) (shell[i] == kept || shell[i] == ready || shell[i] == committing || shell[i] == runs)
#define isExact(i) (hasImage(i) && image[i] == memory && takenAfter[i] == refusals)
#define runners ((guest == running) + (shell[1] == runs) + (shell[2] == runs))
#define isTarget(h) (h == 1 || h == 2)
#define operationOf(i) (i == 2 -> OPERATIONS : 1)

/* ---- The source ------------------------------------------------------------------------------------------------------------------ */

/* Two replicas of one operation are alike, so the first candidate is called the first replica. */
#define mayJoin(i) (!broken[i] && confirmed == operationOf(i) && (i == 1 || raced || OPERATIONS == 2))

inline forget() /* a crash, or the agent's end */
{
    up = 0;
    confirmed = 0;
#ifdef MUTATION_CONFIRM_BEFORE_THE_EARLIER_OPERATION_HAS_LET_GO
    readEarly = 0;
#endif
    ownershipVersion = 0
}

inline resume() /* [SourceStep.Resume] [SourceOperation.ResumeAsync]: a new incarnation */
{
    guest = running;
    memory++;
    candidate = 0;
    phase = copying
}

inline refuse() /* [SourceStep.Refuse]: the append is repeated until it is answered, so it is lost only with its agent */
{
    phase = refusing;
    refusal = ownershipVersion + 1
}

inline closeStream(i) /* [SourceStep.End] [SourceStreams.CloseAsync] */
{
    broken[i] = 1
}

proctype Source()
{
    byte i;
    do
    /* The first replica that joins makes the source read the event stream; it suspends nothing before the answer, and votes at the version
     * that was read. [SourceProtocol.Join] [SourceOwnership.StillOpen] */
    :: d_step { up && phase == copying && open > 0 && confirmed != open && epoch == 0 ->
        confirmed = open;
#ifdef MUTATION_CONFIRM_BEFORE_THE_EARLIER_OPERATION_HAS_LET_GO
        ownershipVersion = (readEarly > 0 -> readEarly : version); readEarly = 0;
#else
        ownershipVersion = version;
#endif
        printf("source confirms that the operation is open (%d)\n", open)
      }
#ifdef MUTATION_CONFIRM_BEFORE_THE_EARLIER_OPERATION_HAS_LET_GO
    :: d_step { up && candidate > 0 && open == 2 && confirmed == 1 && readEarly == 0 -> readEarly = version; printf("source reads for the second operation while the first one still has the guest\n") }
#endif

    /* The stop rule: the candidate. A replica is a candidate once. [SourceProtocol.RoundEnded] [SourceOperation.SuspendAsync] */
    :: atomic {
        up && phase == copying && (mayJoin(1) || mayJoin(2)) ->
        if
        :: mayJoin(1) -> i = 1
        :: mayJoin(2) -> i = 2
        fi;
        d_step { candidate = i; raced = 1; phase = suspending; guest = suspended; printf("source suspends the guest for a candidate (%d)\n", i); i = 0 }
      }

    /* Before any last page the guest goes on freely. [SourceProtocol.Suspended] [SourceProtocol.SuspendFailed] */
    :: d_step { up && phase == suspending -> closeStream(candidate); resume(); printf("source resumes before any last page\n") }

    /* The last pages; their last record carries the version that the source holds. [SourceProtocol.Suspended] [SourceOperation.FinishAsync] */
    :: d_step {
        up && phase == suspending ->
        phase = finishing;
        lastPages[candidate] = underway;
        image[candidate] = memory;
        takenAfter[candidate] = refusals;
        imageVersion[candidate] = ownershipVersion;
        printf("source sends the last pages (%d)\n", candidate)
      }

    /* READY: the vote is written to disk and sent. A crash between the two is one before or one after. [SourceProtocol.Ready]
     * [SourceProtocol.Journaled] [SourceOperation.SendVoteAsync] */
    :: d_step { up && phase == finishing && lastPages[candidate] == arrived -> phase = voted; vote[candidate] = ownershipVersion + 1; printf("source votes (%d)\n", candidate) }

    /* An abort, a closed operation, a broken migration stream, a journal that fails, a guest that stood still for too long, two seconds
     * without a word: the source says that it goes on. [SourceStep.ResumeIfCandidateIsGone] [SourceProtocol.Tick]
     * [SourceProtocol.StreamFailed] [SourceProtocol.Abort] [SourceProtocol.JournalFailed] [SourceOwnership.Observed] */
    :: d_step { up && (phase == finishing || phase == voted) -> closeStream(candidate); refuse(); printf("source asks to refuse\n") }

    /* Its own refusal is durable. It may have been an earlier copy of the same call that was appended. [SourceOwnership.Answered]
     * [SourceOwnership.VoteIsVoid] */
    :: d_step {
        up && phase == refusing && epoch == 0 && voidedVersion > ownershipVersion ->
#ifndef MUTATION_VOTE_TWICE
        ownershipVersion = voidedVersion;
#endif
        resume();
        printf("source hears that its refusal is durable, and resumes\n")
      }

    /* Another host is the owner. [SourceOwnership.WasTransferred] [SourceOwnership.GiveUpTheCopy] [SourceOperation.DestroyAsync] and after
     * a restart [Recovery.Decide] */
    :: d_step { up && guest != gone && isTarget(owner) -> guest = gone; phase = released; candidate = 0; confirmed = 0; ownershipVersion = 0; printf("source destroys its copy\n") }

    /* The agent starts again. A guest that runs is adopted; one that stands still is refused first, at the version that is read now.
     * [Recovery.DecideOwned] [Recover.DecideAsync] */
    :: d_step {
        !up && !lost ->
        up = 1;
        if
        :: guest == running -> phase = copying
        :: guest == gone -> phase = released
#ifdef MUTATION_RESTART_TRUSTS_AN_OLD_REFUSAL
        :: guest == suspended && voidedVersion == version -> resume()
        :: guest == suspended && voidedVersion != version -> ownershipVersion = version; refuse()
#else
        :: guest == suspended -> ownershipVersion = version; refuse()
#endif
        fi;
        printf("source agent starts again\n")
      }

    /* The agent is stopped in good order: a guest that stands still before any last page goes on. [SourceOperation.CloseAsync] */
    :: d_step {
#ifdef MUTATION_STOP_RESUMES_FROM_FINISHING
        up && (phase == suspending || phase == finishing) && crashes > 0 ->
#else
        up && phase == suspending && crashes > 0 ->
#endif
        crashes--;
        forget();
        closeStream(candidate);
        resume();
        printf("source agent is stopped and resumes the guest\n")
      }

#ifdef MUTATION_RESUME_ON_TIMEOUT
    :: d_step { up && phase == voted -> closeStream(candidate); resume(); printf("source resumes without a word\n") }
#endif
#ifdef MUTATION_DESTROY_EARLY
    :: d_step { up && phase == voted -> guest = gone; phase = released; candidate = 0; printf("source destroys its copy after its vote\n") }
#endif
#ifdef MUTATION_RESUME_FROM_FINISHING
    :: d_step { up && phase == finishing -> closeStream(candidate); resume(); printf("source resumes from Finishing\n") }
#endif
    od
}

/* ---- A target -------------------------------------------------------------------------------------------------------------------- */

inline destroy(i) /* [TargetProtocol.Destroy] [TargetReplica.DestroyShellAsync] */
{
    shell[i] = destroyed;
    broken[i] = 1;
    vote[i] = 0;
    votedVersion[i] = 0;
    lastPages[i] = none;
    imageVersion[i] = 0;
    image[i] = 0;
    takenAfter[i] = 0;
    granted[i] = 0
}

proctype Target(byte i)
{
    do
    /* Every page is here, verified and written down; only then READY leaves. [TargetProtocol.ImageComplete] [TargetReplica.Keep] */
    :: d_step {
        targetUp[i] && shell[i] == receiving && lastPages[i] == underway ->
        lastPages[i] = arrived;
#ifdef MUTATION_READY_LEAVES_FIRST
        shell[i] = kept;
        printf("target has the image in its journal and says READY, its state machine has not heard yet (%d)\n", i)
      }
    :: d_step { targetUp[i] && shell[i] == kept -> shell[i] = ready; report[i] = 1; printf("target's state machine hears that the image is complete (%d)\n", i) }
    :: d_step { targetUp[i] && shell[i] == kept ->
        destroy(i);
        printf("target ends a replica that it takes for incomplete (%d)\n", i)
      }
#else
        shell[i] = ready;
        report[i] = 1;
        printf("target is ready (%d)\n", i)
      }
#endif

    /* Before the image is complete anything ends the replica: an abort, a closed operation, a broken stream, a cost policy, a fault.
     * [TargetProtocol.End] [TargetProtocol.StreamLost] [TargetProtocol.Abort] [TargetProtocol.Observed] [TargetProtocol.ShellFailed] */
    :: d_step { targetUp[i] && shell[i] == receiving -> destroy(i); printf("target ends an incomplete replica (%d)\n", i) }

    /* The vote, and in a dead source's place the grant. [TargetProtocol.Vote] [TargetProtocol.Granted] [TargetProtocol.Commit] */
    :: d_step {
        targetUp[i] && shell[i] == ready && vote[i] > 0 ->
#ifdef MUTATION_RUN_ON_VOTE
        shell[i] = runs; vote[i] = 0;
#else
        shell[i] = committing; votedVersion[i] = vote[i] - 1; transfer[i] = vote[i]; vote[i] = 0;
#endif
        printf("target gets the vote (%d)\n", i)
      }
    :: d_step {
        targetUp[i] && shell[i] == ready && granted[i] > 0 && votedVersion[i] != granted[i] ->
        shell[i] = committing; votedVersion[i] = granted[i]; transfer[i] = granted[i] + 1;
        printf("target is granted the commit (%d)\n", i)
      }

    /* The commit is durable, as the answer says or the event stream: the guest runs. A crash between is one before it.
     * [TargetProtocol.CommitAnswered] [TargetProtocol.Observed] [TargetProtocol.Started] */
    :: d_step { targetUp[i] && (shell[i] == ready || shell[i] == committing) && owner == i -> shell[i] = runs; votedVersion[i] = 0; granted[i] = 0; printf("target runs the guest (%d)\n", i) }

    /* The commit was refused. The image is kept until it is void. [TargetProtocol.CommitAnswered] */
    :: d_step { targetUp[i] && shell[i] == committing && owner != i && (version != votedVersion[i] || open != operationOf(i)) ->
        shell[i] = ready;
        votedVersion[i] = (votedVersion[i] == granted[i] -> votedVersion[i] : 0);
        printf("target hears that its commit was refused (%d)\n", i) }

    /* Only the event stream ends a complete image. [TargetProtocol.Observed] [TargetProtocol.IsOver] */
    :: d_step { targetUp[i] && shell[i] == ready && owner != i && isVoid(i) -> destroy(i); printf("target destroys a void image (%d)\n", i) }
#ifdef MUTATION_DESTROY_READY
    :: d_step { targetUp[i] && shell[i] == ready && owner != i && (open != operationOf(i) || broken[i]) -> destroy(i); printf("target destroys a complete image because of an abort (%d)\n", i) }
#endif

    /* The agent starts again: an incomplete shell is destroyed, a complete one waits, a committed one runs. [TargetProtocol.Recovered] [Recovery.Decide] [Recover.TakeOverShell] */
    :: d_step {
        !targetUp[i] ->
        targetUp[i] = 1;
        if
        :: shell[i] == receiving -> destroy(i)
        :: (shell[i] == kept || shell[i] == ready || shell[i] == committing) && owner == i -> shell[i] = runs
        :: (shell[i] == kept || shell[i] == ready || shell[i] == committing) && owner != i ->
            shell[i] = ready
        :: shell[i] == runs || shell[i] == destroyed -> skip
        fi;
        printf("target agent starts again (%d)\n", i)
      }

#ifndef MUTATION_REPORT_ONCE
    /* The first report may have gone with the agent. An operation that is over asks for the shell's end until it has heard what is there, and a target that
     * keeps a complete image says so. [SpecOpEnding.AskForEverything] [TargetProtocol.Abort] */
    :: d_step { targetUp[i] && shell[i] == ready && !racing[operationOf(i)] && heard[i] == silent && !report[i] -> report[i] = 1; printf("target says again that it is ready (%d)\n", i) }
#endif

    /* The reports. ReplicaCleaned is asked for until it is heard. [TargetProtocol.ReadyReport] [SpecOpRace.Ready] [SpecOpEnding.Cleaned]
     * [SpecOpEnding.AskForEverything] */
#ifdef MUTATION_READY_COUNTS_ONLY_WHILE_RACING
    :: d_step { report[i] && heard[i] == silent && !racing[operationOf(i)] -> report[i] = 0; printf("the operation ignores READY (%d)\n", i) }
    :: d_step { report[i] && heard[i] == silent && racing[operationOf(i)] -> report[i] = 0; heard[i] = holds; printf("the operation hears READY (%d)\n", i) }
#else
    :: d_step { report[i] && heard[i] == silent -> report[i] = 0; heard[i] = holds; printf("the operation hears READY (%d)\n", i) }
#endif
    :: d_step { report[i] && heard[i] != silent -> report[i] = 0 }
    :: d_step { targetUp[i] && shell[i] == destroyed && heard[i] != cleaned -> heard[i] = cleaned; printf("the operation hears that nothing is left (%d)\n", i) }
    od
}

/* ---- The event stream: of all appends that race at one version one becomes true. [Ownership.DecideAsync] -------------------------- */

proctype EventStream()
{
    byte i;
    do
    /* The commit. A call that is too late is too late for ever, because versions only grow. [OwnershipDecider.Transfer] */
    :: atomic {
        transfer[1] > 0 || transfer[2] > 0 ->
        if
        :: transfer[1] > 0 -> i = 1
        :: transfer[2] > 0 -> i = 2
        fi;
        d_step {
            if
#ifdef MUTATION_NO_EXPECTED_VERSION
            :: epoch == 0 && owner == SOURCE ->
#else
            :: open == operationOf(i) && epoch == 0 && version == transfer[i] - 1 ->
#endif
                version++; epoch = 1; owner = i; recovery = 0; printf("OwnershipTransferred is appended (%d)\n", i)
            :: else -> printf("a commit is refused (%d)\n", i)
            fi;
            transferBefore[i] = (copies > 0 -> transfer[i] : 0);
            transfer[i] = 0;
            i = 0
        }
      }

    /* The owner's own refusal; a repetition finds it there. From a fenced owner none is taken any more. [OwnershipDecider.Refuse] */
    :: d_step {
        refusal > 0 ->
        if
#ifdef MUTATION_REFUSAL_IS_REPEATED
        :: epoch == 0 && recovery == 0 ->
#elif defined(MUTATION_LATE_REFUSAL)
        :: epoch == 0 && voidedVersion < refusal ->
#else
        :: epoch == 0 && voidedVersion < refusal && recovery == 0 ->
#endif
            readyAtLoss = readyAtLoss && recovery != 0;
            version++; voidedVersion = version; recovery = 0; refusals++; printf("TransferRefused by the owner is appended\n")
        :: else -> printf("a refusal changes nothing\n")
        fi;
        refusalBefore = (copies > 0 -> refusal : 0);
        refusal = 0
      }
    od
}

#define hasWon(n) (isTarget(owner) && operationOf(owner) == n)

inline close(n)
{
    racing[n] = 0;
    if
    :: open == n -> version++; open = 0
    :: else
    fi
}

/* ---- The operation --------------------------------------------------------------------------------------------------------------- */

proctype Operation(byte n)
{
    do
    /* A cancel, the deadline, or no replica left: one append refuses every vote and closes. It voids no image.
     * [SpecOpEnding.Cancel] [SpecOpEnding.Fail] [OwnershipDecider.Close] */
#ifdef MUTATION_FENCE_LEAVES_THE_OPERATION_OPEN
    :: d_step { !hasWon(n) && racing[n] ->
#else
    :: d_step { !hasWon(n) && (racing[n] || (open == n && owner == NOBODY)) ->
#endif
        close(n); printf("the operation is closed without a winner (%d)\n", n) }

    /* A commit is found. [SpecOpEnding.Won] [SpecOpEnding.ActOnCommit] [SpecOpFencing.Recovered] [OwnershipDecider.Close] */
    :: d_step { hasWon(n) && (racing[n] || open == n) -> close(n); printf("the operation is closed with a winner (%d)\n", n) }

    /* Another operation is opened when none is open. [SpecOpOpening.Submit] [OwnershipDecider.Open] */
    :: d_step { n == 2 && !opened && open == 0 && !racing[1] && owner == SOURCE -> opened = 1; racing[2] = 1; version++; open = 2; printf("the second operation is opened\n") }
    od
}

/* ---- The operator: the source's host is confirmed dead. -------------------------------------------------------------------------- */

#ifdef MUTATION_FENCE_TAKES_A_VOID_IMAGE
#define isRecoverable(i) (heard[i] == holds)
#else
#define isRecoverable(i) (heard[i] == holds && !isVoid(i))
#endif
#ifdef MUTATION_FENCE_DOES_NOT_ASK
#define holdsNothing(i) (!isRecoverable(i))
#else
#define holdsNothing(i) (heard[i] == cleaned || (heard[i] == holds && !isRecoverable(i)))
#endif
#ifdef MUTATION_FENCE_ONCE
#define isUnfenced (lost && owner == SOURCE && recovery == 0)
#else
#define isUnfenced (lost && owner == SOURCE && (recovery == 0 || open != operationOf(recovery) || heard[recovery] == cleaned))
#endif

proctype Operator()
{
    byte i;
    do
    /* With the image of a target that holds a valid one. [Fencing.Grant] [FenceMachines.DecideAsync] */
    :: atomic {
        isUnfenced && (isRecoverable(1) || isRecoverable(2)) ->
        if
        :: isRecoverable(1) -> i = 1
        :: isRecoverable(2) -> i = 2
        fi;
        d_step { version++; open = operationOf(i); recovery = i; granted[i] = version; printf("OwnerFenced is appended with a recovery (%d)\n", i); i = 0 }
      }

    /* Without, once every replica is known to hold nothing that is valid. [Fencing.Decide] */
    :: d_step { isUnfenced && holdsNothing(1) && holdsNothing(2) -> version++; epoch = 1; owner = NOBODY; recovery = 0; printf("OwnerFenced is appended without a recovery\n") }
    od
}

/* ---- Faults ---------------------------------------------------------------------------------------------------------------------- */

inline clearCopies()
{
    if
    :: copies == 0 -> refusalBefore = 0; transferBefore[1] = 0; transferBefore[2] = 0
    :: else
    fi
}

proctype Faults()
{
    byte i;
    do
    /* A migration stream breaks. What was under way on it may still arrive, or is lost. */
    :: d_step { !broken[1] -> broken[1] = 1; printf("migration stream breaks (%d)\n", 1) }
    :: d_step { !broken[2] -> broken[2] = 1; printf("migration stream breaks (%d)\n", 2) }
    :: d_step { vote[1] > 0 && broken[1] -> vote[1] = 0; printf("vote is lost (%d)\n", 1) }
    :: d_step { vote[2] > 0 && broken[2] -> vote[2] = 0; printf("vote is lost (%d)\n", 2) }

    /* A call whose caller does not repeat it any more is lost. */
    :: d_step { refusal > 0 && !(up && phase == refusing) -> refusal = 0; printf("a refusal is lost\n") }
    :: d_step { transfer[1] > 0 && !(targetUp[1] && shell[1] == committing) -> transfer[1] = 0; printf("a commit is lost (%d)\n", 1) }
    :: d_step { transfer[2] > 0 && !(targetUp[2] && shell[2] == committing) -> transfer[2] = 0; printf("a commit is lost (%d)\n", 2) }

    /* A report that its agent has not handed over yet goes with it. */
    :: d_step { report[1] && !targetUp[1] -> report[1] = 0; printf("a report is lost (1)\n") }
    :: d_step { report[2] && !targetUp[2] -> report[2] = 0; printf("a report is lost (2)\n") }

    /* A call arrives twice. */
    :: d_step { copies > 0 && refusal == 0 && refusalBefore > 0 -> copies--; refusal = refusalBefore; clearCopies(); printf("an earlier refusal arrives again\n") }
    :: d_step { copies > 0 && transfer[1] == 0 && transferBefore[1] > 0 -> copies--; transfer[1] = transferBefore[1]; clearCopies(); printf("an earlier commit arrives again (1)\n") }
    :: d_step { copies > 0 && transfer[2] == 0 && transferBefore[2] > 0 -> copies--; transfer[2] = transferBefore[2]; clearCopies(); printf("an earlier commit arrives again (2)\n") }

    /* An agent crashes. What it said may still be under way. */
    :: d_step {
        crashes > 0 && up && phase != released ->
        crashes--; forget(); phase = copying;
        if
        :: candidate > 0 -> broken[candidate] = 1; candidate = 0
        :: else
        fi;
        printf("source agent crashes\n")
      }
    :: atomic {
        crashes > 0 && ((targetUp[1] && shell[1] != destroyed) || (targetUp[2] && shell[2] != destroyed)) ->
        if
        :: targetUp[1] && shell[1] != destroyed -> i = 1
        :: targetUp[2] && shell[2] != destroyed -> i = 2
        fi;
        d_step { crashes--; targetUp[i] = 0; broken[i] = 1; vote[i] = 0; votedVersion[i] = 0; printf("target agent crashes (%d)\n", i); i = 0 }
      }

    /* The source's host dies for good. */
    :: d_step {
        losses > 0 && guest != gone ->
        losses--; lost = 1; forget(); phase = released; candidate = 0;
        readyAtLoss = owner == SOURCE && guest == suspended && (isExact(1) || isExact(2));
        guest = gone;
        broken[1] = 1; broken[2] = 1;
        printf("the source's host is lost for good\n")
      }

    /* And so does the host of the target that the machine was being recovered from: then the machine's memory is lost. The operator confirms it, and its replica
     * counts as gone. [SpecOpFencing.HostFenced] [SpecOpState.Fence] */
    :: d_step {
        targetLosses > 0 && lost && isTarget(recovery) && owner == SOURCE && targetUp[recovery] ->
        targetLosses--; destroy(recovery); heard[recovery] = cleaned; report[recovery] = 0; transfer[recovery] = 0; transferBefore[recovery] = 0; readyAtLoss = 0;
        printf("the host of the recovering target is lost for good (%d)\n", recovery)
      }
    od
}

/* ---- What must hold ----------------------------------------------------------------------------------------------------------------
 * In every state the rules; and when nothing can happen any more the outcome. That every schedule gets there is checked as the absence of
 * cycles: every fault is bounded, and nothing that the parties repeat changes anything, so a cycle would be an operation without an end.
 */
#define VIOLATED(rule) printf(rule); assert(false)

#define isOwnerHolding ((owner == SOURCE && (lost || guest != gone)) || owner == NOBODY || (isTarget(owner) && hasImage(owner)))
#define isSettled (!racing[1] && !racing[2] && !open && up + lost == 1 && guest != suspended \
    && (shell[1] == destroyed || shell[1] == runs) && (shell[2] == destroyed || shell[2] == runs) \
    && (heard[1] == cleaned || shell[1] == runs) && (heard[2] == cleaned || shell[2] == runs))

proctype Rules()
{
    do
#ifdef WITNESS
    :: d_step { WITNESS -> printf("reached\n"); assert(false) }
#endif
    :: d_step { runners > 1 -> VIOLATED("violated: R1: at most one host runs the machine\n") }
    :: d_step { (shell[1] == runs && owner != 1) || (shell[2] == runs && owner != 2) -> VIOLATED("violated: R2: a target runs only after its own OwnershipTransferred\n") }
    :: d_step { (shell[1] == runs && image[1] != memory) || (shell[2] == runs && image[2] != memory) -> VIOLATED("violated: R3: the incarnation that runs is the one that was suspended last\n") }
    :: d_step { guest == gone && !lost && !isTarget(owner) -> VIOLATED("violated: R4: the source's copy is destroyed only after an event that names another host\n") }
    :: d_step { guest == running && owner != SOURCE -> VIOLATED("violated: R5: the source never runs it after such an event\n") }
    :: d_step { !isOwnerHolding -> VIOLATED("violated: R6: the owner holds the machine\n") }
    :: d_step { readyAtLoss && (!(isExact(1) || isExact(2)) || owner == NOBODY) -> VIOLATED("violated: R6: a source that is lost after READY is recovered from that image\n") }
    od
}

proctype Outcome()
{
    timeout ->
    if
    :: !isSettled -> VIOLATED("violated: R8: in the end nothing is left over\n")
    :: isSettled && runners != 1 && !(lost && !readyAtLoss && owner == NOBODY && runners == 0) -> VIOLATED("violated: R7: in the end exactly one host runs the machine\n")
    :: else -> printf("the end (%d)\n", owner)
    fi
}

init
{
    atomic {
        run Source();
        run Target(1);
        run Target(2);
        run EventStream();
        racing[1] = 1;
        run Operation(1);
#if OPERATIONS == 2
        run Operation(2);
#endif
        run Operator();
        run Faults();
        run Rules();
        run Outcome()
    }
}
