using SpecMesh.Simulator.Experiments;
using SpecMesh.Simulator.WhatIf;

// The verbs of the simulator.
return args switch
{
    ["run", .. string[] rest] => RunCommand.Execute(rest),
    ["figures", .. string[] rest] => FiguresCommand.Execute(rest),
    ["scale", .. string[] rest] => ScaleCommand.Execute(rest),
    ["what-if", .. string[] rest] => WhatIfCommand.Execute(rest),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine("usage: run | figures | scale | what-if; run without options lists its own");
    return 64;
}
