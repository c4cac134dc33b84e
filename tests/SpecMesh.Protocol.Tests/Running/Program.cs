using SpecMesh.Protocol.Tests.Running;

return Command.Run(args);
