using SpecMesh.Contracts;
using SpecMesh.Hosting;
using SpecMesh.Placement;

WebApplicationBuilder builder = WebApplication.CreateBuilder(args);
builder.AddSpecMesh("placement", ContractCatalogue.All, ContractJson.Options).AddPlacement();

WebApplication app = builder.Build();
app.MapSpecMesh();
app.MapPlacement();
await app.RunAsync();
