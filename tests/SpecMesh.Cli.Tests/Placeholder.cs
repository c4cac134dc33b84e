using System.Diagnostics;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace SpecMesh.Cli.Tests;

/// <summary>
/// A service that does nothing but answer. Its argument says how: <c>ready</c>; <c>unready</c>; <c>dies</c> at start;
/// <c>leaves-a-child</c> is ready and starts a process that it never ends.
/// </summary>
public static class Placeholder
{
    public static int Main(string[] args)
    {
        string manner = args.FirstOrDefault() ?? "ready";
        if (manner == "dies")
        {
            Console.WriteLine("these are my last words");
            return 7;
        }

        if (manner == "leaves-a-child")
        {
            using Process? left = Process.Start("sleep", "600");
        }

        WebApplication app = WebApplication.CreateSlimBuilder().Build();
        app.MapGet("/health/ready", () => manner == "unready" ? Results.StatusCode(503) : Results.Ok());
        app.MapGet("/environment/{name}", (string name) => Environment.GetEnvironmentVariable(name) ?? "");
        app.MapGet("/pid", () => Environment.ProcessId);
        app.Run();
        return 0;
    }
}
