using SpecMesh.Simulator.Engine;

EventQueue queue = new();
queue.Push(1, 0, 0);
Console.WriteLine(queue.Count);
