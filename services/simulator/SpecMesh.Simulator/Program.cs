// The verbs of the simulator.
Console.Error.WriteLine("usage: run | figures | what-if");
return 64;
