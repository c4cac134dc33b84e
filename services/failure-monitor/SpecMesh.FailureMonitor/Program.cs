using SpecMesh.Contracts;
using SpecMesh.FailureMonitor;
using SpecMesh.Hosting;

WebApplicationBuilder builder = WebApplication.CreateBuilder(args);
builder.AddSpecMesh("failure-monitor", ContractCatalogue.All, ContractJson.Options).AddFailureMonitor();

WebApplication app = builder.Build();
app.MapSpecMesh();
await app.RunAsync();
