using Hone.Formats.Jobs;

namespace Hone.Core.Tests.Finetunes;

public sealed class NotOfferedTests
{
    [Fact]
    public void NotOffered_WhatTheTrainerCannotDo_IsNamed()
    {
        Assert.Empty(new TrainingConfig { Method = "dpo", UseRslora = true, UseDora = false, Precision = "float32" }.NotOffered());
        Assert.Equal(2, new TrainingConfig { UseDora = true, Precision = "bfloat16" }.NotOffered().Count);
    }
}
