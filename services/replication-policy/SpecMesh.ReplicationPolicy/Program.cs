using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.ReplicationPolicy;

WebApplicationBuilder builder = WebApplication.CreateBuilder(args);
builder.AddSpecMesh("replication-policy", ContractCatalogue.All, ContractJson.Options).AddReplicationPolicy();

WebApplication app = builder.Build();
app.MapSpecMesh();
app.MapReplicationPolicy();
await app.RunAsync();
