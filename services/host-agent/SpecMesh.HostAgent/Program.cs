using SpecMesh.Contracts;
using SpecMesh.HostAgent;
using SpecMesh.Hosting;

WebApplicationBuilder builder = WebApplication.CreateBuilder(args);
HostAgentOptions options = HostAgentOptions.Read(builder.Configuration);
builder.AddSpecMesh("host-agent", ContractCatalogue.All, ContractJson.Options).AddHostAgent(options);
builder.Services.AddHttpOwnershipLog(options);

WebApplication app = builder.Build();
app.MapSpecMesh();
await app.RunAsync();
