using System.Globalization;
using System.Xml.Linq;
using SpecMesh.Simulator.Experiments;
using SpecMesh.Simulator.Workloads;

namespace SpecMesh.Simulator.Tests.Experiments;

public sealed class RunCommandTests
{
    [Fact]
    public void a_run_writes_rows_runs_and_figures()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("specmesh-run-");
        try
        {
            string[] arguments = ["--workload", "ci", "--servers", "128", "--failed", "0,0.25", "--policies", "sq2,adaptive", "--seeds", "3", "--set", "launchSeconds=900", "--set", "warmUpSeconds=0", "--out", folder.FullName];
            Assert.Equal(0, RunCommand.Execute(arguments));
            string[][] rows = [.. File.ReadLines(Path.Combine(folder.FullName, "results.csv")).Select(line => line.Split(','))];
            Assert.Equal(["workload", "policy", "failed", "metric", "mean", "ci95", "seeds"], rows[0]);
            Assert.All(rows.Skip(1), row => Assert.Equal(("ci", "3"), (row[0], row[6])));
            // The naive manager is run for the gains, and reported only when it is asked for.
            Assert.Equal(["sq2", "adaptive"], rows.Skip(1).Select(row => row[1]).Distinct());
            foreach (string metric in (string[])["launch_delay_s", "launch_delay_gain", "attempts_per_vm", "relative_attempts", "additional_attempts", "cost_benefit"])
            {
                Assert.Equal(4, rows.Count(row => row[3] == metric));
            }

            string two = Assert.Single(rows, row => row[1] == "sq2" && row[2] == "0" && row[3] == "relative_attempts")[4];
            Assert.Equal(2, double.Parse(two, CultureInfo.InvariantCulture));
            Assert.Equal(1 + (3 * 2 * 3 * 4), File.ReadLines(Path.Combine(folder.FullName, "runs.csv")).Count());
            FileInfo[] figures = folder.GetFiles("*.svg");
            Assert.Equal(4, figures.Length);
            Assert.All(figures, figure => Assert.Equal("svg", XDocument.Load(figure.FullName).Root!.Name.LocalName));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Theory]
    [InlineData("capacity")]
    [InlineData("upgrade")]
    public void what_cost_limits_have_ended_is_a_row_only_where_there_are_limits(string workload)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("specmesh-run-");
        try
        {
            string[] arguments = ["--workload", workload, "--servers", "128", "--failed", "0", "--policies", "sq3", "--seeds", "2", "--out", folder.FullName, "--set", "capacitySeconds=1800", "--set", "slowShare=0.2"];
            Assert.Equal(0, RunCommand.Execute(arguments));
            Assert.DoesNotContain(Metrics.CostAbortsPerOperation, File.ReadAllText(Path.Combine(folder.FullName, "results.csv")), StringComparison.Ordinal);
            Assert.Equal(0, RunCommand.Execute([.. arguments, "--set", "minProgress=0.3"]));
            string row = Assert.Single(File.ReadLines(Path.Combine(folder.FullName, "results.csv")), line => line.Contains(Metrics.CostAbortsPerOperation, StringComparison.Ordinal));
            Assert.InRange(double.Parse(row.Split(',')[4], CultureInfo.InvariantCulture), 1e-3, 2);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Theory]
    [InlineData("--set", "bootMedianSecond=3", "bootMedianSecond")]
    [InlineData("--set", "bootSigma=x", "bootSigma")]
    [InlineData("--set", "bootSigma=-1", "bootSigma")]
    [InlineData("--set", "maxRounds=2.5", "maxRounds")]
    [InlineData("--set", "validation=perhaps", "validation")]
    [InlineData("--set", "network=token", "network")]
    [InlineData("--set", "failureMinSeconds=5000", "FailureMinSeconds")]
    [InlineData("--set", "bootSigma", "bootSigma")]
    [InlineData("--set", "abortLast=true", "AbortLast")]
    [InlineData("--set", "timeoutSeconds=60", "timeoutSeconds")]
    [InlineData("--policies", "naive,sq17", "sq17")]
    [InlineData("--failed", "0,1", "'1'")]
    [InlineData("--seeds", "0", "--seeds")]
    [InlineData("--servers", "10", "--servers")]
    [InlineData("--workload", "desktop", "desktop")]
    [InlineData("--outt", "x", "--outt")]
    public void what_makes_no_sense_is_refused_by_its_name(string option, string value, string named)
    {
        Assert.Null(RunArguments.Read(["--workload", "ci", "--out", "x", option, value], out IReadOnlyList<string> errors));
        Assert.Contains(named, Assert.Single(errors), StringComparison.Ordinal);
    }

    [Fact]
    public void all_errors_are_reported_at_once()
    {
        Assert.Null(RunArguments.Read(["--policies", "best", "--set", "a=1", "--set", "bootSigma=9", "--failed", "2"], out IReadOnlyList<string> errors));
        Assert.Equal(6, errors.Count);
    }

    [Fact]
    public void a_parameter_that_is_set_is_the_one_that_the_model_reads()
    {
        RunArguments asked = RunArguments.Read(["--workload", "Upgrade", "--out", "x", "--set", "VALIDATION=true", "--set", "stopPages=70", "--set", "network=MaxMin"], out _)!;
        Assert.Equal(Parameters.Default with { Validation = true, StopPages = 70, Network = NetworkSharing.MaxMin }, asked.Sweep.Parameters);
        Assert.False(Parameters.Default.Validation);
    }
}
