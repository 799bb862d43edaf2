return await Hone.Cli.RunAsync(args, Console.Out, Console.Error);
