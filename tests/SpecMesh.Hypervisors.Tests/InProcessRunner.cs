using System.Reflection;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace SpecMesh.Hypervisors.Tests;

/// <summary>
/// Runs test classes of an assembly one after another, with nothing but xunit's own execution: for a control domain, which has a runtime and no SDK. A line for each test, and last
/// <c>N passed, N failed, N skipped</c>.
/// </summary>
internal sealed class InProcessRunner : LongLivedMarshalByRefObject, IMessageSink, ITestFrameworkDiscoveryOptions, ITestFrameworkExecutionOptions
{
    private readonly List<ITestCase> found = [];
    private readonly TaskCompletionSource discovered = new();
    private readonly TaskCompletionSource finished = new();
    private int passed;
    private int failed;
    private int skipped;

    /// <param name="assembly">The assembly with the tests.</param>
    /// <param name="names">
    /// Which tests: those whose <c>Class.method</c>, without a namespace, begins with one of these; and after <c>--except</c> those that are left out, in full.
    /// </param>
    /// <returns>0 when at least one test ran and none failed.</returns>
    public static int Run(Assembly assembly, IReadOnlyList<string> names)
    {
        InProcessRunner runner = new();
        using XunitTestFramework framework = new(runner);
        ITestFrameworkDiscoverer discoverer = framework.GetDiscoverer(Reflector.Wrap(assembly));
        discoverer.Find(includeSourceInformation: false, runner, runner);
        runner.discovered.Task.Wait();
        string[] wanted = [.. names.TakeWhile(name => name != "--except")];
        HashSet<string> unwanted = [.. names.Skip(wanted.Length + 1)];
        ITestCase[] chosen = [.. runner.found.Where(test => !unwanted.Contains(NameOf(test)) && wanted.Any(name => NameOf(test).StartsWith(name, StringComparison.Ordinal)))];
        framework.GetExecutor(assembly.GetName()).RunTests(chosen, runner, runner);
        runner.finished.Task.Wait();
        Console.WriteLine($"{runner.passed} passed, {runner.failed} failed, {runner.skipped} skipped");
        return runner.failed == 0 && runner.passed > 0 ? 0 : 1;
    }

    private static string NameOf(ITestCase test) => $"{test.TestMethod.TestClass.Class.Name.Split('.')[^1]}.{test.TestMethod.Method.Name}";

    /// <summary>Everything is as xunit has it by default, except that tests do not run side by side: they share one host.</summary>
    public TValue GetValue<TValue>(string name) => name == "xunit.execution.DisableParallelization" ? (TValue)(object)true : default!;

    public void SetValue<TValue>(string name, TValue value) => throw new NotSupportedException($"{name} is not for tests to set.");

    public bool OnMessage(IMessageSinkMessage message)
    {
        switch (message)
        {
            case ITestCaseDiscoveryMessage test:
                found.Add(test.TestCase);
                break;
            case IDiscoveryCompleteMessage:
                discovered.TrySetResult();
                break;
            case ITestAssemblyFinished:
                finished.TrySetResult();
                break;
            case ITestStarting starting:
                Console.WriteLine($"begins  {starting.Test.DisplayName}");
                break;
            case ITestPassed ended:
                passed++;
                Console.WriteLine($"passed  {ended.Test.DisplayName} [{ended.ExecutionTime:F1} s]");
                break;
            case ITestSkipped ended:
                skipped++;
                Console.WriteLine($"skipped {ended.Test.DisplayName}: {ended.Reason}");
                break;
            case ITestFailed ended:
                failed++;
                Console.WriteLine($"failed  {ended.Test.DisplayName} [{ended.ExecutionTime:F1} s]\n{string.Join('\n', ended.Messages)}\n{string.Join('\n', ended.StackTraces)}");
                break;
            case IErrorMessage error:
                failed++;
                Console.WriteLine($"failed  beside a test: {string.Join('\n', error.Messages)}\n{string.Join('\n', error.StackTraces)}");
                break;
        }

        return true;
    }
}
