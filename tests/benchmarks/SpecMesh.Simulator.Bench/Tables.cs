using System.Text;

namespace SpecMesh.Simulator.Bench;

/// <summary>The result as a person reads it.</summary>
internal static class Tables
{
    public static string Of(BenchResult result)
    {
        StringBuilder text = new();
        text.AppendLine($"{result.Processor}, one core, load before the run {result.LoadBefore:0.00}; processor time, best of its segments");
        text.AppendLine().AppendLine("the queue alone: one event taken and one put back");
        text.AppendLine($"{"pending",9}  {"increments",-12} {"ns",7} {"M/s",7} {"to exponential",15}");
        foreach (HoldFigure hold in result.Hold)
        {
            text.AppendLine($"{hold.Pending,9}  {hold.Increments,-12} {hold.NsPerHold,7:0.0} {hold.MillionPerSecond,7:0.0} {hold.ToExponential,15:0.00}");
        }

        text.AppendLine().AppendLine("the whole model: rolling upgrades of 1024 servers, three replicas");
        text.AppendLine($"{"limits of the cost",-26} {"M events/s",11} {"ns/event",9} {"ns/operation",13} {"events/operation",17} {"bytes/event",12}");
        foreach (WholeModelFigure whole in result.WholeModel)
        {
            text.AppendLine($"{whole.Limits,-26} {whole.MillionEventsPerSecond,11:0.0} {whole.NsPerEvent,9:0.0} {whole.NsPerOperation,13:0} {whole.EventsPerOperation,17:0.0} {whole.BytesPerEvent,12:0.000}");
        }

        foreach (ModelFigures model in result.Models)
        {
            text.AppendLine().AppendLine($"{model.Model}; {model.Outcome} {model.Expected:0.00000} in closed form");
            text.AppendLine($"{"engine",-36} {"M events/s",11} {"ns/event",9}   {model.Outcome}");
            foreach (EngineFigure engine in model.Engines)
            {
                text.AppendLine($"{engine.Engine,-36} {engine.MillionEventsPerSecond,11:0.000} {engine.NsPerEvent,9:0.0}   {engine.Outcome:0.00000}");
            }

            Ratio("ns-3's best scheduler, its own random numbers", model.ToNs3);
            Ratio("ns-3's best scheduler, bare random numbers", model.ToBareNs3);
            Ratio("SimPy", model.ToSimPy);
        }

        foreach (string skipped in result.Skipped)
        {
            text.AppendLine().Append($"skipped {skipped}");
        }

        return text.ToString().TrimEnd();

        void Ratio(string peer, double? ratio)
        {
            if (ratio is { } times)
            {
                text.AppendLine($"{times,8:0.0} times {peer}");
            }
        }
    }
}
