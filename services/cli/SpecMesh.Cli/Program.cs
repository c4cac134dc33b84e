using System.CommandLine;
using SpecMesh.Cli.Commands;
using SpecMesh.Cli.Demo;
using SpecMesh.Cli.Up;

GatewayOptions gateway = new();
RootCommand root = new("Run virtual-machine operations as races of replicas, of which exactly one wins.")
{
    DemoCommand.Create(),
    UpCommand.Create(),
    HostCommands.Create(gateway),
    VmCommands.Create(gateway),
    OperationCommands.Create(gateway),
    DoctorCommand.Create(gateway),
};
return await CommandLine.RunAsync(root, args);
