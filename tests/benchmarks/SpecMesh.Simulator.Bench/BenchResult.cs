using System.Text.Json;
using System.Text.Json.Serialization;

namespace SpecMesh.Simulator.Bench;

/// <summary>All figures of a run. Times are processor time of one core; each is the best of its segments, because what else the machine does can only make one slower.</summary>
/// <param name="Processor">Name of the processor.</param>
/// <param name="LoadBefore">Processes that wanted to run in the minute before.</param>
/// <param name="Hold">The queue alone.</param>
/// <param name="WholeModel">The simulator's own model, without limits of the cost and with them.</param>
/// <param name="Models">Whole simulations, beside the peers.</param>
/// <param name="Skipped">Peers that did not run, each with the reason.</param>
internal sealed record BenchResult(string Processor, double LoadBefore, IReadOnlyList<HoldFigure> Hold, IReadOnlyList<WholeModelFigure> WholeModel, IReadOnlyList<ModelFigures> Models, IReadOnlyList<string> Skipped)
{
    public static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        WriteIndented = true,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };
}

/// <summary>One event taken and one put back, with so many events pending.</summary>
/// <param name="Increments">How long after the one that was taken the other happens: distribution.</param>
/// <param name="Pending">Events in the queue.</param>
/// <param name="NsPerHold">Time of both.</param>
/// <param name="MillionPerSecond">How many of them in a second.</param>
/// <param name="ToExponential">Time compared with that of exponential increments.</param>
internal sealed record HoldFigure(string Increments, int Pending, double NsPerHold, double MillionPerSecond, double ToExponential);

/// <summary>The simulator's own model with some limits of the cost.</summary>
/// <param name="Limits">Which.</param>
/// <param name="MillionEventsPerSecond">Events in a second of processor time.</param>
/// <param name="NsPerEvent">The time of one.</param>
/// <param name="NsPerOperation">The time of all events of an operation: what can be compared, because judgements are events too.</param>
/// <param name="EventsPerOperation">How many they are.</param>
/// <param name="BytesPerEvent">Memory that is allocated for an event.</param>
internal sealed record WholeModelFigure(string Limits, double MillionEventsPerSecond, double NsPerEvent, double NsPerOperation, double EventsPerOperation, double BytesPerEvent);

/// <summary>One model on all engines.</summary>
/// <param name="Model">Its name.</param>
/// <param name="Outcome">What it measures.</param>
/// <param name="Expected">What that is in closed form.</param>
/// <param name="Engines">The engines, ours first.</param>
/// <param name="ToNs3">Our events in a second compared with ns-3's, on its best scheduler and with its own random numbers; null when it did not run.</param>
/// <param name="ToBareNs3">The same, with random numbers in ns-3 that cost next to nothing.</param>
/// <param name="ToSimPy">The same, SimPy.</param>
internal sealed record ModelFigures(string Model, string Outcome, double Expected, IReadOnlyList<EngineFigure> Engines, double? ToNs3, double? ToBareNs3, double? ToSimPy);

/// <summary>One model on one engine.</summary>
/// <param name="Engine">The engine, and the part of it that was chosen.</param>
/// <param name="MillionEventsPerSecond">Events of the model, not of the engine, in a second of processor time.</param>
/// <param name="NsPerEvent">The time of one.</param>
/// <param name="Outcome">What the model measured, to see that it is the same model.</param>
internal sealed record EngineFigure(string Engine, double MillionEventsPerSecond, double NsPerEvent, double Outcome);
