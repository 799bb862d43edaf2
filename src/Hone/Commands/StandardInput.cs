namespace Hone.Commands;

/// <summary>Standard input as a life line: a parent holds the other end, so that even one killed outright leaves nothing behind.</summary>
internal static class StandardInput
{
    public static async Task WhenItEndsAsync(Func<Task> act)
    {
        byte[] nothing = new byte[256];
        await using Stream input = Console.OpenStandardInput();
        while (await input.ReadAsync(nothing) > 0)
        {
        }
        try
        {
            await act();
        }
        catch (ObjectDisposedException)
        {
            // What was to be stopped has stopped.
        }
    }
}
